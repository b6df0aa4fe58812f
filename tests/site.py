"""Reads a built site: pages, their links, and what they load."""

from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """One HTML file.

    Attributes:
        path: of the file.
        ids: its anchors.
        links: (what is linked, whether in the text or the page's own contents).
        loaded: what a browser fetches to show it.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.ids, self.links, self.loaded = set(), [], []
        self._inside = 0
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "article" or "md-nav--secondary" in (given.get("class") or ""):
            self._inside += 1
        if given.get("id"):
            self.ids.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append((given["href"], self._inside > 0))
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(given["href"])
        self.loaded += [given["src"]] if given.get("src") else []

    def handle_endtag(self, tag):
        if self._inside and tag == "article":
            self._inside -= 1

    def target(self, link):
        """Return the file and the anchor of a link to the same site; None of another's."""
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return None
        file = self.path if not parts.path else (self.path.parent / unquote(parts.path)).resolve()
        return file, unquote(parts.fragment)


class Site:
    """A folder of pages.

    Args:
        folder: what MkDocs built.
    """

    def __init__(self, folder):
        self.folder = Path(folder).resolve()

    @cached_property
    def pages(self):
        return {path: Page(path) for path in sorted(self.folder.rglob("*.html"))}

    def broken(self):
        """Return (page, link) of every link to a page, a file or an anchor that is not there."""
        found = []
        for path, page in self.pages.items():
            if path.name == "404.html":
                continue
            for link, _ in page.links:
                target = page.target(link)
                if target is None:
                    continue
                file, anchor = target
                known = self.pages.get(file)
                if not file.is_file() or (anchor and known and anchor not in known.ids and anchor != "__skip"):
                    found.append((path.name, link))
        return found

    def clicks(self):
        """Return how many clicks on links in texts and contents lead from the front page to (file, anchor)."""
        front = (self.folder / "index.html", "")
        far, edge = {front: 0}, [front]
        while edge:
            here = edge.pop(0)
            page = self.pages.get(here[0])
            targets = [page.target(link) for link, inside in page.links if inside] if page else []
            for target in filter(None, targets):
                if target not in far:
                    far[target] = far[here] + 1
                    edge.append(target)
        return far
