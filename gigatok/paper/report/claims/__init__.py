"""One page a claim: what the paper says, what decides it, the evidence, the cost, and the command."""
