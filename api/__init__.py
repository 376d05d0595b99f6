"""Every way in: command line and pages."""
