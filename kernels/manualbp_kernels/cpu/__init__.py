"""What the CPU kernels share: compilation, scalar helpers, loops over elements."""
