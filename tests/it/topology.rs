//! The contract of `topology::store`, over both backends, and what stands on it.

mod backend;
mod commands;
mod contract;
mod leases;

use self::backend::Backend;

macro_rules! conformance {
    ($($file:ident::$name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$file::$name(&super::Backend::sqlite().await).await;
            })+
        }
        mod etcd {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$file::$name(&super::Backend::etcd().await).await;
            })+
        }
    };
}

conformance!(
    contract::compare_and_swap,
    contract::a_transaction_is_one_change_for_watchers,
    contract::watches_see_every_revision_in_order_and_resume,
    contract::a_watch_from_a_compacted_revision_lists_anew,
    leases::leases_expire_for_readers_and_watchers,
    leases::a_lease_is_lost_when_the_store_is_silent,
    leases::only_the_owner_writes,
    commands::contended_updates_all_count,
    commands::processes_count_every_swap_once,
    commands::the_catalog_refuses_what_would_dangle,
    commands::import_is_all_or_nothing,
);
