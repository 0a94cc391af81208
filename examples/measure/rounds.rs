//! Rounds: each rival has its turn in each, and what counts is the median.

/// What several rounds found of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(found: I) -> Self {
        Self(found.into_iter().collect())
    }
}

impl Samples {
    /// Adds what a round found.
    pub(crate) fn add(&mut self, found: f64) {
        self.0.push(found);
    }

    /// The one in the middle; not a number where there is none.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            len if len % 2 == 1 => sorted[len / 2],
            len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
        }
    }

    /// The smallest and the largest.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let least = self.0.iter().copied().fold(f64::NAN, f64::min);
        let most = self.0.iter().copied().fold(f64::NAN, f64::max);
        (least, most)
    }

    /// The ratios to `other`, round by round.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| own / other).collect())
    }

    /// The median and the spread, each made short by `short`.
    pub(crate) fn show(&self, short: impl Fn(f64) -> String) -> String {
        let (least, most) = self.spread();
        if self.0.len() < 2 {
            return short(self.median());
        }
        format!("{} ({}-{})", short(self.median()), short(least), short(most))
    }
}

impl Extend<f64> for Samples {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, found: I) {
        self.0.extend(found);
    }
}

/// Gives each of `rivals` its turn `rounds` times, A B C A B C, and answers with what `turn` found of each, by rival and round.
/// The first failure ends it.
pub(crate) async fn in_turn<R, T, E>(
    rounds: u32,
    rivals: &mut [R],
    mut turn: impl AsyncFnMut(&mut R, u32) -> Result<T, E>,
) -> Result<Vec<Vec<T>>, E> {
    let mut found: Vec<Vec<T>> = rivals.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (rival, found) in rivals.iter_mut().zip(&mut found) {
            found.push(turn(rival, round).await?);
        }
    }
    Ok(found)
}
