//! What an etcd error means to the caller.

use etcd_client::Error;

use super::super::store::StoreError;
use super::Effect;

/// What an etcd error means to the caller. gRPC codes by their numbers, as tonic is not a dependency of ours.
pub(super) fn classify(error: Error, what: &str, effect: Effect) -> StoreError {
    let (what, why) = (what.to_string(), describe(&error));
    let no_answer = |what, why| match effect {
        Effect::Repeatable => StoreError::Unavailable { what, why },
        Effect::Once => StoreError::Ambiguous { what, why },
    };
    match &error {
        Error::GRpcStatus(status) if never_sent(status) => StoreError::Unavailable { what, why },
        Error::GRpcStatus(status) => match i32::from(status.code()) {
            // InvalidArgument NotFound AlreadyExists PermissionDenied FailedPrecondition OutOfRange Unimplemented Unauthenticated
            3 | 5 | 6 | 7 | 9 | 11 | 12 | 16 => StoreError::Refused { what, why },
            // ResourceExhausted: before anything is proposed, for now ("too many requests") or for good (no space).
            8 if why.contains("too many requests") => StoreError::Unavailable { what, why },
            8 => StoreError::Refused { what, why },
            15 => StoreError::Corrupt { what, why },
            _ => no_answer(what, why),
        },
        Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => {
            StoreError::Refused { what, why }
        }
        Error::Utf8Error(_) => StoreError::Corrupt { what, why },
        _ => no_answer(what, why),
    }
}

/// An etcd status without tonic's decoration.
fn describe(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => match innermost_io(status) {
            Some(io) => io.to_string(),
            None => status.message().to_string(),
        },
        other => other.to_string(),
    }
}

fn innermost_io<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    std::iter::successors(Some(error), |error| error.source()).filter_map(|e| e.downcast_ref::<std::io::Error>()).last()
}

/// Whether the request cannot have left: no connection was made.
fn never_sent(status: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    innermost_io(status).is_some_and(|io| matches!(io.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable))
}
