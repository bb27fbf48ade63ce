//! Resource limits of a child (setrlimit(2)).

use rustix::process::getrlimit;

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

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 6] = [
        Resource::Cpu,
        Resource::Memory,
        Resource::Processes,
        Resource::Files,
        Resource::FileSize,
        Resource::Core,
    ];

    /// The directive that limits it.
    pub fn directive(self) -> &'static str {
        match self {
            Resource::Cpu => "RLimitCPU",
            Resource::Memory => "RLimitMEM",
            Resource::Processes => "RLimitNPROC",
            Resource::Files => "RLimitNOFILE",
            Resource::FileSize => "RLimitFSIZE",
            Resource::Core => "RLimitCORE",
        }
    }

    /// What the directive of this name, in any case, limits.
    pub fn of_directive(name: &str) -> Option<Resource> {
        Resource::ALL
            .into_iter()
            .find(|resource| resource.directive().eq_ignore_ascii_case(name))
    }

    /// A number that messages carry.
    pub(super) fn number(self) -> u8 {
        match self {
            Resource::Cpu => 1,
            Resource::Memory => 2,
            Resource::Processes => 3,
            Resource::Files => 4,
            Resource::FileSize => 5,
            Resource::Core => 6,
        }
    }

    /// The resource of a number.
    pub(super) fn from_number(number: u8) -> Option<Resource> {
        Resource::ALL.into_iter().find(|resource| resource.number() == number)
    }

    fn rustix(self) -> rustix::process::Resource {
        match self {
            Resource::Cpu => rustix::process::Resource::Cpu,
            Resource::Memory => rustix::process::Resource::As,
            Resource::Processes => rustix::process::Resource::Nproc,
            Resource::Files => rustix::process::Resource::Nofile,
            Resource::FileSize => rustix::process::Resource::Fsize,
            Resource::Core => rustix::process::Resource::Core,
        }
    }
}

impl Limit {
    /// As many open descriptors as the hard limit lets us have; what a worker wants.
    pub fn all_files() -> Limit {
        let hard = Limit::ours(Resource::Files).hard;
        Limit {
            resource: Resource::Files,
            soft: hard,
            hard,
        }
    }

    /// The limit that this process runs under.
    pub fn ours(resource: Resource) -> Limit {
        let limit = getrlimit(resource.rustix());
        Limit {
            resource,
            soft: limit.current,
            hard: limit.maximum,
        }
    }

    /// Puts this process under it.
    pub fn set_ours(self) -> std::io::Result<()> {
        let limit = rustix::process::Rlimit {
            current: self.soft,
            maximum: self.hard,
        };
        Ok(rustix::process::setrlimit(self.resource.rustix(), limit)?)
    }

    /// The lower of two limits of the same resource, soft and hard each; the soft one is never above the hard one.
    #[must_use]
    pub fn lowered_by(self, other: Limit) -> Limit {
        let hard = lower(self.hard, other.hard);
        Limit {
            resource: self.resource,
            soft: lower(lower(self.soft, other.soft), hard),
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

/// The lower of two; none is no limit.
fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, Resource};

    #[test]
    fn the_lower_limit_holds_soft_and_hard_each() {
        let limit = |soft, hard| Limit {
            resource: Resource::Cpu,
            soft,
            hard,
        };
        for (one, other, expected) in [
            ((None, None), (None, None), (None, None)),
            ((Some(5), Some(9)), (None, None), (Some(5), Some(9))),
            ((Some(5), Some(9)), (Some(7), Some(8)), (Some(5), Some(8))),
            ((Some(5), Some(9)), (Some(3), None), (Some(3), Some(9))),
            ((Some(5), Some(9)), (None, Some(4)), (Some(4), Some(4))),
            ((None, Some(9)), (None, None), (Some(9), Some(9))),
        ] {
            let lowered = limit(one.0, one.1).lowered_by(limit(other.0, other.1));
            assert_eq!(lowered, limit(expected.0, expected.1), "{one:?} {other:?}");
        }
    }

    #[test]
    fn every_resource_has_its_number_and_its_directive() {
        for resource in Resource::ALL {
            assert_eq!(Resource::from_number(resource.number()), Some(resource));
            assert_eq!(Resource::of_directive(resource.directive()), Some(resource));
        }
        assert_eq!(
            (Resource::from_number(0), Resource::of_directive("RLimit")),
            (None, None)
        );
    }
}
