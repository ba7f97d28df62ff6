use super::slab::{Place, Slab};

/// Open slots in the order of their last change, linked through the slots themselves.
#[derive(Default)]
pub(super) struct Queue {
    first: Option<Place>,
    last: Option<Place>,
}

impl Queue {
    pub(super) fn first(&self) -> Option<Place> {
        self.first
    }

    pub(super) fn push(&mut self, slab: &mut Slab, place: Place) {
        let before = self.last.replace(place);
        if let Some(links) = slab.get_mut(place).and_then(|slot| slot.links()) {
            links.before = before;
            links.after = None;
        }
        self.link(slab, before, Some(place));
    }

    /// Takes out a slot that is in this queue.
    pub(super) fn remove(&mut self, slab: &mut Slab, place: Place) {
        let Some(links) = slab.get_mut(place).and_then(|slot| slot.links()) else {
            return;
        };
        let (before, after) = (links.before, links.after);
        self.link(slab, before, after);
        match after.and_then(|after| slab.get_mut(after)?.links()) {
            Some(links) => links.before = before,
            None => self.last = before,
        }
    }

    /// Lets `before`, or the queue itself, go on with `after`.
    fn link(&mut self, slab: &mut Slab, before: Option<Place>, after: Option<Place>) {
        match before.and_then(|before| slab.get_mut(before)?.links()) {
            Some(links) => links.after = after,
            None => self.first = after,
        }
    }
}
