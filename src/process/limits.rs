//! Resource limits of a child (setrlimit(2)).

/// What is limited; Apache's RLimitCPU, RLimitMEM and RLimitNPROC are the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Seconds of processor time.
    Cpu,
    /// Bytes of address space.
    Memory,
    /// Processes of the same user.
    Processes,
    /// Open descriptors.
    Files,
    /// Bytes of a file it writes.
    FileSize,
    /// Bytes of a core dump.
    Core,
}

/// A soft and a hard limit; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// What holds.
    pub soft: Option<u64>,
    /// How far the child may raise it.
    pub hard: Option<u64>,
}

impl Limit {
    /// As many open descriptors as the hard limit lets us have; what a worker wants.
    pub fn all_files() -> Limit {
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        Limit {
            resource: Resource::Files,
            soft: hard,
            hard,
        }
    }

    /// The kernel's number for the resource and its `struct rlimit64`.
    pub(super) fn raw(self) -> (u32, [u64; 2]) {
        let resource = match self.resource {
            Resource::Cpu => libc::RLIMIT_CPU,
            Resource::Memory => libc::RLIMIT_AS,
            Resource::Processes => libc::RLIMIT_NPROC,
            Resource::Files => libc::RLIMIT_NOFILE,
            Resource::FileSize => libc::RLIMIT_FSIZE,
            Resource::Core => libc::RLIMIT_CORE,
        };
        (resource, [self.soft.unwrap_or(u64::MAX), self.hard.unwrap_or(u64::MAX)])
    }
}
