//! Where a statement's rows are: vindexes, shard maps, session targets and routing rules. Pure; nothing here knows a server
//! or the topology.

pub mod column;
pub mod row_key;
pub mod rules;
pub mod shards;
pub mod target;
pub mod vindex;
pub mod vschema;

pub use self::column::{KeyType, Literal, Purpose, RefusedType, Unroutable};
pub use self::row_key::{NoKeyspaceId, RowKey, RowKeyError};
pub use self::rules::{RoutingRules, RuleError};
pub use self::shards::{ShardMap, ShardMapError};
pub use self::target::{Target, TargetError};
pub use self::vindex::{KeyValue, Vindex};
