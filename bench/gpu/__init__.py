"""Everything that a GPU can add, in order of worth, on a machine that is rented by the minute."""
