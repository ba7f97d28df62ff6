//! Times, in turns: what a machine does meanwhile, it does to all.

use std::time::Duration;

use crate::{
    template::Template,
    variant::{Run, Variant},
};

const RUNS: usize = 5;
const ROUNDS: usize = 10;

/// The least time of each variant in each run, in nanoseconds a request.
pub struct Measured {
    pub names: Vec<&'static str>,
    bare: Vec<usize>,
    runs: Vec<Vec<f64>>,
}

/// A ratio in the median run, and in those where it was least and most.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Measured {
    pub fn of(variants: &[Variant]) -> Self {
        let prepared: Vec<_> = variants
            .iter()
            .map(|variant| (&variant.run, (variant.templates)(variant.count)))
            .collect();
        let place = |name| variants.iter().position(|variant| variant.name == name);
        Self {
            names: variants.iter().map(|variant| variant.name).collect(),
            bare: variants
                .iter()
                .map(|variant| place(variant.bare).expect("a bare service"))
                .collect(),
            runs: (0..RUNS).map(|_| run(&prepared, ROUNDS)).collect(),
        }
    }

    /// What a variant costs over its bare service, in the median run, in nanoseconds a request.
    pub fn nanoseconds(&self, name: &str) -> f64 {
        self.spread(|run| self.overhead(name, run)).median
    }

    /// What a variant costs over its bare service, as a multiple of what another costs over its own.
    pub fn ratio(&self, name: &str, of: &str) -> Spread {
        self.spread(|run| self.overhead(name, run) / self.overhead(of, run))
    }

    pub fn is_bare(&self, name: &str) -> bool {
        let at = self.place(name);
        self.bare[at] == at && name.contains("bare")
    }

    fn spread(&self, of: impl Fn(&[f64]) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(|run| of(run)).collect())
    }

    /// F0 is bare itself and has nothing to be compared with: it counts whole.
    fn overhead(&self, name: &str, run: &[f64]) -> f64 {
        let at = self.place(name);
        match self.bare[at] == at {
            true => run[at],
            false => run[at] - run[self.bare[at]],
        }
    }

    fn place(&self, name: &str) -> usize {
        let place = self.names.iter().position(|other| *other == name);
        place.unwrap_or_else(|| panic!("no variant is named {name}"))
    }
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            least: values[0],
            most: values[values.len() - 1],
        }
    }
}

/// The least time a request of each, in some rounds in turns.
fn run(prepared: &[(&Run, Vec<Template>)], rounds: usize) -> Vec<f64> {
    let mut least = vec![f64::MAX; prepared.len()];
    for _ in 0..rounds {
        for ((run, templates), least) in prepared.iter().zip(&mut least) {
            *least = least.min(a_request(run(templates), templates.len()));
        }
    }
    least
}

pub fn a_request(took: Duration, requests: usize) -> f64 {
    took.as_nanos() as f64 / requests as f64
}
