"""From a request to records: plan, check everything, do, record. Nothing here computes a metric itself."""
