//! What a way out amounts to as things are, and what it loses. Pure.

use crate::model::switch::{Direction, Phase};
use crate::model::workflow::{Desired, TabletType};
use crate::model::{GtidSet, TabletAlias};
use crate::topology::records::Workflow;

use super::survey::{Server, Survey};

/// Where traffic is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// At the target.
    Forward,
    /// At the source.
    Back,
}

impl Way {
    /// The switch that would go there.
    pub fn direction(self) -> Direction {
        match self {
            Self::Forward => Direction::Forward,
            Self::Back => Direction::Backward,
        }
    }

    /// The flag.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Forward => "--forward",
            Self::Back => "--back",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: traffic is there, and nothing stands in the way.
    Nothing,
    /// Traffic stays; changes are not carried to the other side any more.
    GiveUpOther,
    /// What strangers did on the closed side is taken for good; then traffic can be switched there in the usual way.
    Accept,
    /// Traffic goes there by force: whatever the other side has that is not here is left behind.
    Force {
        /// Primaries of the other side that nobody waits for.
        given_up: Vec<TabletAlias>,
    },
}

/// What to call the two sides for a way: where traffic leaves, and where it goes.
fn sides(record: &Workflow, way: Way) -> (String, String) {
    record.spec.names(way.direction())
}

/// The primaries of the side that traffic leaves by a way, or of the one it goes to.
pub(super) fn primaries(survey: &Survey, way: Way, leaves: bool) -> impl Iterator<Item = &Server> {
    let at_source = (way == Way::Forward) == leaves;
    survey.servers.iter().filter(move |server| server.primary && server.at_source == at_source)
}

/// What `way` amounts to, with these servers given up; or why it is no way.
pub fn decide(survey: &Survey, way: Way, drop: &[TabletAlias]) -> Result<Action, String> {
    let record = &survey.found.record;
    let (from, to) = sides(record, way);
    match record.desired {
        Desired::Cancelled => {
            return Err("the workflow is being cancelled; `workflow logs` says what that waits for".into());
        }
        Desired::Completed => {
            return Err("the workflow is being completed; `workflow logs` says what that waits for".into());
        }
        Desired::Running | Desired::Paused => {}
    }
    if let Some(switch) = record.open_switch()
        && let Phase::Asked | Phase::Doing { .. } = switch.phase
    {
        return Err("a switch is under way: its engine, or the next one, ends it or undoes it".into());
    }
    let lost = |leaves| primaries(survey, way, leaves).filter(|server| server.facts().is_none()).collect::<Vec<_>>();
    if let Some(server) = lost(false).first() {
        return Err(format!(
            "{} cannot be reached, and traffic cannot go there: bring it back, or make a replica the primary (`shard \
             set-primary`)",
            server.label
        ));
    }
    if let Some(needless) = drop.iter().find(|alias| !lost(true).iter().any(|server| server.alias == **alias)) {
        return Err(format!("--drop-unreachable {needless}: that is no primary of {from} that cannot be reached"));
    }
    let settled = record.open_switch().is_none();
    let broken = record.closed.as_ref().filter(|closed| closed.broken.is_some());
    if settled && record.switched.contains(&TabletType::Primary) == (way == Way::Forward) {
        return Ok(match broken {
            Some(_) => Action::GiveUpOther,
            None if lost(true).is_empty() || !record.way_back => Action::Nothing,
            None => Action::GiveUpOther,
        });
    }
    if settled && lost(true).is_empty() {
        return match broken {
            Some(_) => Ok(Action::Accept),
            None => Err(format!("nothing stands in the way of an orderly switch to {to}: use `{}`", orderly(way))),
        };
    }
    if let Some(server) = lost(true).iter().find(|server| !drop.contains(&server.alias)) {
        return Err(format!(
            "{} cannot be reached, so nobody knows whether it takes writes: bring it back or make a replica the primary \
             (`shard set-primary`); or, if it is gone for good or certain to take none, give it up with --drop-unreachable {}",
            server.label, server.alias
        ));
    }
    Ok(Action::Force { given_up: drop.to_vec() })
}

fn orderly(way: Way) -> &'static str {
    match way {
        Way::Forward => "movetables switch-traffic",
        Way::Back => "movetables reverse-traffic",
    }
}

/// An action in words.
pub fn describe(action: &Action, survey: &Survey, way: Way) -> String {
    let (from, to) = sides(&survey.found.record, way);
    match action {
        Action::Nothing => format!("nothing to do: traffic is at {to}"),
        Action::GiveUpOther => format!(
            "traffic stays at {to}; changes are not carried to {from} any more. Then `movetables {}` ends the workflow",
            if way == Way::Forward { "complete" } else { "cancel" }
        ),
        Action::Accept => {
            format!("what was changed on {to} while it was closed stays; then `{}` takes traffic there", orderly(way))
        }
        Action::Force { given_up } => {
            let names: Vec<_> = given_up.iter().map(ToString::to_string).collect();
            let without = if names.is_empty() { String::new() } else { format!(", given up: {}", names.join(", ")) };
            format!(
                "{from} is closed{without}; {to} is opened as it is, and all traffic goes there; nothing is carried to {from}"
            )
        }
    }
}

/// What an action loses, line by line.
pub fn losses(action: &Action, survey: &Survey, way: Way) -> Vec<String> {
    let (from, to) = sides(&survey.found.record, way);
    let strangers = survey.found.record.closed.as_ref().and_then(|closed| closed.broken.as_ref());
    match action {
        Action::Nothing => Vec::new(),
        Action::GiveUpOther => match strangers {
            Some(broken) if !broken.strangers.is_empty() => {
                let count = broken.strangers.count();
                vec![format!("{count} transaction(s) that others did on {from} stay there: {}", broken.strangers)]
            }
            _ => vec![format!("the way to {from}")],
        },
        Action::Accept => match strangers {
            Some(broken) if !broken.strangers.is_empty() => {
                let count = broken.strangers.count();
                let set = &broken.strangers;
                vec![format!(
                    "the sides differ by what {count} transaction(s) did on {to} ({set}); whatever they changed counts"
                )]
            }
            Some(broken) => vec![format!("the sides may differ, and {to} counts: {}", broken.why)],
            None => Vec::new(),
        },
        Action::Force { .. } => primaries(survey, way, true).map(|server| left_behind(server, survey, way)).collect(),
    }
}

/// What `server` has that the streams have not brought to the side traffic goes to.
fn left_behind(server: &Server, survey: &Survey, way: Way) -> String {
    let Some(facts) = server.facts() else {
        return format!("whatever {} has that was not carried over; it cannot be asked", server.label);
    };
    // What flows to where traffic goes, flows in the direction of the way.
    let direction = way.direction();
    let positions = primaries(survey, way, false).map(|other| {
        let streams = other.facts().map(|facts| facts.streams.as_slice()).unwrap_or_default();
        let mine =
            streams.iter().find(|(flows, from, _)| *flows == direction.as_str() && *from == server.shard.as_str());
        mine.map(|(_, _, position)| position.clone()).unwrap_or_default()
    });
    let missing = positions.fold(GtidSet::new(), |mut missing, position| {
        missing.union(&facts.executed.minus(&position));
        missing
    });
    match missing.is_empty() {
        true => format!("nothing of {}", server.label),
        false => {
            format!("at most {} transaction(s) of {}, other tables' included: {missing}", missing.count(), server.label)
        }
    }
}
