use std::{future::Future, pin::Pin};

use crate::{
    confirm::{Confirm, Confirmation},
    event::{CallbackKind, TaskId, VoiceEvent},
};

type Asking<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The twin of [`Confirm`] that can be a trait object.
pub(crate) trait ErasedConfirm: Send + Sync {
    fn confirm_erased<'a>(&'a self, claimed: &'a VoiceEvent) -> Asking<'a, Confirmation>;

    fn turn_erased(&self) -> Asking<'_, ()>;

    fn look_up_erased<'a>(
        &'a self,
        kind: CallbackKind,
        task: &'a TaskId,
    ) -> Asking<'a, Confirmation>;
}

impl<C: Confirm> ErasedConfirm for C {
    fn confirm_erased<'a>(&'a self, claimed: &'a VoiceEvent) -> Asking<'a, Confirmation> {
        Box::pin(self.confirm(claimed))
    }

    fn turn_erased(&self) -> Asking<'_, ()> {
        Box::pin(self.turn())
    }

    fn look_up_erased<'a>(
        &'a self,
        kind: CallbackKind,
        task: &'a TaskId,
    ) -> Asking<'a, Confirmation> {
        Box::pin(self.look_up(kind, task))
    }
}
