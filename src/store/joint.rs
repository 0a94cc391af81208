//! What many ask to have written at the same time becomes a few statements in one transaction.

use std::sync::Arc;

use futures::future::BoxFuture;
use sqlx::SqliteConnection;

use super::{
    StoreError,
    together::{Together, together_or_alone},
    writer::Writer,
};

/// Writes `all`, and answers for each, in their order.
pub(crate) type Write<Q, A> =
    for<'c> fn(&'c mut SqliteConnection, &'c [Arc<Q>]) -> BoxFuture<'c, Result<Vec<A>, StoreError>>;

/// Where what is of one kind is written together; clones are the same place. `Q` is what is written, `A` the answer.
pub(crate) struct Joint<Q, A> {
    writer: Writer,
    write: Write<Q, A>,
    together: Together<Arc<Q>, Result<A, StoreError>>,
}

impl<Q, A> Clone for Joint<Q, A> {
    fn clone(&self) -> Self {
        Self { writer: self.writer.clone(), write: self.write, together: self.together.clone() }
    }
}

impl<Q: Send + Sync + 'static, A: Send + 'static> Joint<Q, A> {
    pub(crate) fn new(writer: Writer, write: Write<Q, A>) -> Self {
        Self { writer, write, together: Together::default() }
    }

    /// Asks for `one` to be written: that is done when this returns, and the future answers once it is on the disk. Dropping
    /// that does not take it back. What fails among others is tried again alone.
    pub(crate) fn write(&self, one: Q) -> impl Future<Output = Result<A, StoreError>> + Send + use<Q, A> {
        let (writer, write) = (self.writer.clone(), self.write);
        let turn = move |all| async move { Ok(together_or_alone(all, |some| commit(&writer, write, some)).await) };
        let asked = self.together.ask(Arc::new(one), turn);
        async move { asked.await? }
    }
}

async fn commit<Q: Send + Sync + 'static, A: Send + 'static>(
    writer: &Writer,
    write: Write<Q, A>,
    all: Vec<Arc<Q>>,
) -> Result<Vec<A>, StoreError> {
    let all: Arc<[Arc<Q>]> = all.into();
    writer
        .write_as_usual(move |conn| {
            let all = all.clone();
            Box::pin(async move { write(conn, &all).await })
        })
        .await
}
