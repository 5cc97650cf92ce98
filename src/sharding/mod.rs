//! Where a statement's rows are: session targets and routing rules. Pure; nothing here knows a server or the topology.

pub mod rules;
pub mod target;

pub use self::rules::{RoutingRules, RuleError};
pub use self::target::{Target, TargetError};
