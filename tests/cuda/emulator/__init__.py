"""A machine that runs PTX without a GPU: what the compiler made of each kernel, and with its own block sizes.

Numba's simulator runs a kernel's Python, where every number is as wide as Python likes, in blocks of a few
threads. Here the PTX runs: its types, its fused multiply-adds, its addresses, its blocks. And every access is
watched, as compute-sanitizer does on a GPU:

- an address outside of what was allocated, or not aligned;
- a word that is read before it was written;
- two threads that touch one word, one of them writing, with no barrier between them;
- a barrier that a block's threads do not all reach.

In reading order: `text` reads PTX into basic blocks, `arithmetic` is its instructions on arrays of lanes,
`memory` is what they read and write, `machine` runs a grid, `device` stands in for `vbref.cuda.device`.

It follows the PTX ISA manual, except that approximations are exact to rounding (rcp.approx.ftz.f64 keeps the
upper half of the word), and that what ptxas may contract further is not. It knows the instructions that our
kernels have, with their modifiers, and refuses others by name. What it cannot see: an array of ours that is
overrun into the next view of the same memory, and what depends on the order of threads without a race.
"""
