//! Where a recording, or what is left of it, lies.

use crate::telemetry::labels::label;

label! {
    /// Where a recording, or what is left of it, lies.
    Tier as "tier" {
        /// On the device, ready to be read.
        Device = "device",
        /// In the memory of the host.
        Memory = "memory",
        /// In files.
        Disk = "disk",
        /// Its latents and mean maps alone, in memory: attention is computed again from them.
        Trajectory = "trajectory",
        /// Nothing but its source: it is run again.
        Source = "source",
    }
}
