"""One function for each verb: what the command line and the page call."""
