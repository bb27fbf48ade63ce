//! What tests of pure rooms share.

/// Calls `try_cut` with `input` cut in two at every place, both ends included.
pub fn every_cut(input: &[u8], mut try_cut: impl FnMut(&[u8], &[u8])) {
    for at in 0..=input.len() {
        let (head, tail) = input.split_at(at);
        try_cut(head, tail);
    }
}

/// Runs the test of this path again in a process of its own, whose many complaints nobody wants to read; `false` once it has
/// passed there, `true` in that process.
pub fn alone(test: &str) -> bool {
    const MARK: &str = "LYCHGATE_TEST_ALONE";
    if std::env::var_os(MARK).is_some_and(|name| name == test) {
        return true;
    }
    let program = std::env::current_exe().expect("we run");
    let output = std::process::Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(MARK, test)
        .output()
        .expect("it can run again");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last: Vec<&str> = said.lines().rev().take(8).collect();
    assert!(output.status.success(), "{}: {last:#?}", output.status);
    false
}

/// Numbers that look random and are the same at every run (xorshift64*).
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for each seed but 0.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(usize::MAX) % limit
    }

    /// Up to `limit` bytes.
    pub fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let length = self.below(limit + 1);
        (0..length)
            .map(|_| u8::try_from(self.below(256)).unwrap_or(0))
            .collect()
    }

    /// A few bytes of it changed, and now and then its end missing.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len().max(1));
            if let (Some(byte), Ok(new)) = (bytes.get_mut(at), u8::try_from(self.below(256))) {
                *byte = new;
            }
        }
        if self.below(8) == 0 {
            let length = self.below(bytes.len() + 1);
            bytes.truncate(length);
        }
    }
}
