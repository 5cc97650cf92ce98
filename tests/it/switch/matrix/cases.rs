//! The cases, generated from the steps of a switch: a new step is in the matrix by itself.

use std::fmt;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use shardlift::model::switch::{Direction, Step, SwitchRequest};
use shardlift::model::workflow::TabletType;
use shardlift::workflow::switch::open::OPEN_POINTS;
use shardlift::workflow::switch::plan::plan;
use shardlift::workflow::switch::undo::UNDO_POINTS;

use super::ground::Layout;

/// Where the topology is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Etcd,
}

impl Backend {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Etcd => "etcd",
        }
    }
}

/// Which servers a fault befalls, by what they are at that moment in the workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Source,
    Target,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The step fails before it has done anything.
    Error,
    /// The engine dies.
    KillBefore,
    KillAfter,
    /// The step is done, and the engine told that it is not.
    LostAck,
    /// The step takes longer than the pause may.
    Slow,
    /// The commit cannot be sent.
    Unsent,
    /// The engine is stopped for longer than its lease, and goes on when another one has taken over.
    Frozen,
    /// The engine lives, and its lease is gone.
    LeaseLost,
    /// The topology does not answer for longer than the lease.
    TopologySilent,
    /// It is killed, and back after as long.
    TopologyDead,
    /// mysqld is killed and started again.
    Restarted(Side),
    /// The replica becomes the primary, in good order.
    Replaced(Side),
    /// The primary is killed, and its replica becomes the primary.
    Died(Side),
}

impl Fault {
    /// Whether it is the failpoint itself; else the engine is held there while the fault is made.
    pub fn is_inside(self) -> bool {
        matches!(self, Self::Error | Self::KillBefore | Self::KillAfter | Self::LostAck | Self::Slow | Self::Unsent)
    }

    /// Whether clients may notice: a server of theirs went.
    pub fn is_felt(self) -> bool {
        matches!(self, Self::Restarted(_) | Self::Replaced(_) | Self::Died(_))
    }

    pub fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Error => "error",
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::LostAck => "lost-ack",
            Self::Slow => "slow",
            Self::Unsent => "unsent",
            Self::Frozen => "engine-frozen",
            Self::LeaseLost => "lease-lost",
            Self::TopologySilent => "topology-silent",
            Self::TopologyDead => "topology-dead",
            Self::Restarted(Side::Source) => "source-restarted",
            Self::Restarted(Side::Target) => "target-restarted",
            Self::Replaced(Side::Source) => "source-replaced",
            Self::Replaced(Side::Target) => "target-replaced",
            Self::Died(Side::Source) => "source-died",
            Self::Died(Side::Target) => "target-died",
        };
        f.write_str(text)
    }
}

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Step(Step),
    /// While a switch is being undone, here because its commit could not be begun.
    Undo(&'static str),
    /// While the new side of a committed switch is opened at a second try.
    Open(&'static str),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => step.fmt(f),
            Self::Undo(point) | Self::Open(point) => f.write_str(point),
        }
    }
}

/// One case. Its text is its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    pub layout: Layout,
    pub backend: Backend,
    pub direction: Direction,
    pub at: At,
    pub fault: Fault,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layout, backend, direction, at, fault } = self;
        if *layout != Layout::Move {
            write!(f, "{layout} ")?;
        }
        write!(f, "{} {} {at} {fault}", backend.as_str(), direction.as_str().to_lowercase())
    }
}

impl Case {
    /// What the engine's failpoints are set to; `held` is where it waits to be struck.
    pub fn points(&self, held: &Path) -> String {
        let action = match self.fault {
            Fault::Error | Fault::LostAck | Fault::Unsent => "error".to_owned(),
            Fault::KillBefore | Fault::KillAfter => "kill".to_owned(),
            Fault::Slow => "hang:6000".to_owned(),
            _ => format!("hold:{}", held.display()),
        };
        match (self.at, self.fault) {
            (At::Step(Step::Commit), Fault::LostAck) => format!("lost-commit={action}"),
            (At::Step(Step::Commit), Fault::Unsent) => format!("unsent-commit={action}"),
            (At::Step(step), Fault::KillAfter | Fault::LostAck) => format!("after-{step}={action}"),
            (At::Step(step), _) => format!("before-{step}={action}"),
            (At::Undo(point), _) => format!("before-commit=error;{point}={action}"),
            (At::Open(point), _) => format!("before-open=error;{point}={action}"),
        }
    }

    /// Whether the switch must come about; `None`: both is right.
    pub fn must_be_done(&self) -> Option<bool> {
        match self.at {
            At::Undo(_) => Some(false),
            At::Open(_) | At::Step(Step::Open) => Some(true),
            At::Step(Step::Commit) if matches!(self.fault, Fault::KillAfter | Fault::LostAck) => Some(true),
            At::Step(_) if self.fault.is_inside() || self.fault == Fault::Frozen => Some(false),
            At::Step(_) => None,
        }
    }
}

/// Whatever can happen to the engine, the topology and the servers while the engine is held at a point.
fn outside(backend: Backend) -> Vec<Fault> {
    let mut faults = vec![Fault::Frozen, Fault::LeaseLost, Fault::TopologySilent];
    if backend == Backend::Etcd {
        faults.push(Fault::TopologyDead);
    }
    for side in [Side::Source, Side::Target] {
        faults.extend([Fault::Restarted(side), Fault::Replaced(side), Fault::Died(side)]);
    }
    faults
}

/// Where cases are played. A Reshard's topology is in a file or in etcd: that both serve is seen with MoveTables.
pub const GROUNDS: [(Layout, Backend); 5] = [
    (Layout::Move, Backend::Sqlite),
    (Layout::Move, Backend::Etcd),
    (Layout::TwoToFour, Backend::Sqlite),
    (Layout::FourToTwo, Backend::Etcd),
    (Layout::ThreeToTwo, Backend::Sqlite),
];

/// The whole matrix.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (layout, backend) in GROUNDS {
        for &direction in Direction::ALL {
            let mut add = |at, faults: &[Fault]| {
                cases.extend(faults.iter().map(|&fault| Case { layout, backend, direction, at, fault }));
            };
            for step in steps() {
                add(At::Step(step), &[Fault::Error, Fault::KillBefore, Fault::KillAfter, Fault::LostAck]);
                add(At::Step(step), &outside(backend));
            }
            add(At::Step(Step::Drain), &[Fault::Slow]);
            add(At::Step(Step::Commit), &[Fault::Unsent]);
            for point in UNDO_POINTS {
                add(At::Undo(point), &[Fault::Error, Fault::KillBefore]);
            }
            add(At::Undo(UNDO_POINTS[0]), &outside(backend));
            for point in OPEN_POINTS {
                add(At::Open(point), &[Fault::Error, Fault::KillBefore]);
            }
            add(At::Open(OPEN_POINTS[0]), &outside(backend));
        }
    }
    cases
}

fn steps() -> Vec<Step> {
    plan(&SwitchRequest {
        uid: uuid::Uuid::nil(),
        direction: Direction::Forward,
        types: TabletType::ALL.iter().copied().collect(),
        timeout_ms: 0,
        allow_cross_keyspace: false,
        max_lag_ms: 0,
        way_back: true,
    })
}

/// Of a Reshard's cases, besides one for each step.
const SOME: usize = 8;

/// What every run of the tests has of MoveTables: each step, killed before and after and its answer lost, in a file's topology;
/// and a tenth of the rest, as `seed` has it.
pub fn sample(seed: u64) -> Vec<Case> {
    let always = |case: &Case| {
        let known = matches!(case.fault, Fault::KillBefore | Fault::KillAfter | Fault::LostAck);
        known && case.backend == Backend::Sqlite && matches!(case.at, At::Step(_))
    };
    let (mut chosen, mut rest): (Vec<_>, Vec<_>) =
        all().into_iter().filter(|case| case.layout == Layout::Move).partition(always);
    // One direction each, in turns.
    let mut forward = false;
    chosen.retain(|case| case.direction == Direction::Forward);
    for case in &mut chosen {
        forward ^= true;
        case.direction = if forward { Direction::Forward } else { Direction::Backward };
    }
    rest.shuffle(&mut StdRng::seed_from_u64(seed));
    rest.truncate(rest.len().div_ceil(10));
    chosen.extend(rest);
    chosen
}

/// And of Reshards: one of them, with each step killed before or after or its answer lost, and a few of the rest.
pub fn sample_of_shards(seed: u64) -> Vec<Case> {
    let layouts = [Layout::TwoToFour, Layout::FourToTwo, Layout::ThreeToTwo];
    let layout = layouts[usize::try_from(seed % 3).unwrap()];
    let mut cases: Vec<_> = all().into_iter().filter(|case| case.layout == layout).collect();
    cases.shuffle(&mut StdRng::seed_from_u64(seed));
    let inside = |case: &Case| matches!(case.fault, Fault::KillBefore | Fault::KillAfter | Fault::LostAck);
    let (of_steps, mut rest): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| inside(case) && matches!(case.at, At::Step(_)));
    let mut chosen = Vec::new();
    for step in steps() {
        chosen.extend(of_steps.iter().find(|case| case.at == At::Step(step)));
    }
    rest.truncate(SOME);
    chosen.extend(rest);
    chosen
}

#[test]
fn the_matrix_has_every_step_with_every_fault_once() {
    let all = all();
    let names: std::collections::BTreeSet<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), all.len());
    for step in Step::ALL {
        for fault in ["error", "kill-before", "kill-after", "lost-ack", "lease-lost", "source-died", "target-replaced"]
        {
            for place in ["sqlite forward", "etcd backward", "2to4 sqlite forward", "4to2 etcd backward"] {
                assert!(names.contains(&format!("{place} {step} {fault}")), "{place} {step} {fault}");
            }
        }
    }
    let (moves, shards) = (sample(1).len(), sample_of_shards(1).len());
    println!("{} cases, {moves} and {shards} of them in every run", all.len());
}
