/// Which bracket is open at each depth. A bit for each, so that it takes memory of its own only for
/// what is deeper than any body that means something.
#[derive(Default)]
pub(super) struct Nesting {
    /// The innermost is the lowest bit: set where it is an object.
    bits: u64,
    depth: u32,
    outer: Vec<u64>,
}

impl Nesting {
    /// Opens a bracket, and says which byte ends it.
    pub(super) fn enter(&mut self, bracket: u8) -> Option<u8> {
        if self.depth == u64::BITS {
            self.outer.push(self.bits);
            self.depth = 0;
        }
        self.bits = self.bits << 1 | u64::from(bracket == b'{');
        self.depth += 1;
        self.end()
    }

    /// Ends the innermost bracket, and says which byte ends the one around it; `None` where nothing
    /// is open any more.
    pub(super) fn leave(&mut self) -> Option<u8> {
        self.bits >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(bits) = self.outer.pop()
        {
            (self.bits, self.depth) = (bits, u64::BITS);
        }
        self.end()
    }

    fn end(&self) -> Option<u8> {
        match (self.depth, self.bits & 1) {
            (0, _) => None,
            (_, 0) => Some(b']'),
            _ => Some(b'}'),
        }
    }
}
