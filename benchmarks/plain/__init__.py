"""The same work the textbook way: what the benchmarks hold the project's code against. Not slowed on purpose."""
