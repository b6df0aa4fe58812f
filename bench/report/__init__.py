"""Tables, figures and a page from the results folder, the paper's values beside ours. Never imports torch."""
