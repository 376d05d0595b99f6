"""The engine as a service: every promise of the command line, over HTTP."""
