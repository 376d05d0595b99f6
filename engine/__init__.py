"""The use cases: train, allocate, decide, learn, evaluate, explain. The one place that joins the rooms."""
