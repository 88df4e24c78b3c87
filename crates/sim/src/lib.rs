//! The simulated world: clock, images as programs, file systems, shell, network.
