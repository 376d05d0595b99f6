"""Every way in: command line, pages, HTTP and a client for it."""
