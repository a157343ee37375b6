"""Neural networks by hand: layers with their backward twins, the MLP, optimisers, a gradient checker."""
