"""What ``gigatok-bench doctor`` looks at: the machine, the project, its weights and its runs."""
