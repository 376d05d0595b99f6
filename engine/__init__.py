"""The use cases: train, allocate, learn, evaluate, explain. The one place that joins the rooms."""
