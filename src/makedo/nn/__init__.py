"""Network parts used by two rooms or more."""
