"""From a checkpoint to a posted result: evaluate, queue, worker, verify, ledger."""
