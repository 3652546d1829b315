"""Run a request and write its records: check, plan, compute, record. Metrics are computed elsewhere."""
