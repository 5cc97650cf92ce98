//! MoveTables into, between and out of sharded keyspaces while applications write through two gateways: nothing is lost or
//! doubled, every row is on the shard its vindex says, and no number is given twice, whatever numbers the rows on which side.

mod handling;
mod journey;
mod numbers;
mod stage;
mod writers;
