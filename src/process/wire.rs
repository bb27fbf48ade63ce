//! Numbers and byte strings in messages: fixed-width little-endian, strings with their length before them.

/// A message does not hold what its kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A message being written.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn with_tag(tag: u8) -> Writer {
        Writer(vec![tag])
    }

    /// One that has room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Writer {
        Writer(Vec::with_capacity(bytes))
    }

    pub(super) fn u8(mut self, value: u8) -> Writer {
        self.0.push(value);
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Writer {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn i32(self, value: i32) -> Writer {
        self.u32(value.cast_unsigned())
    }

    pub(super) fn u64(mut self, value: u64) -> Writer {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Writer {
        let mut writer = self.count(bytes.len());
        writer.0.extend_from_slice(bytes);
        writer
    }

    pub(super) fn numbers(self, numbers: &[u64]) -> Writer {
        numbers
            .iter()
            .fold(self.count(numbers.len()), |writer, number| writer.u64(*number))
    }

    /// A number of things that follow. Messages end far below 4 GiB; one beyond would be refused by its reader.
    pub(super) fn count(self, count: usize) -> Writer {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX))
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A message being read.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.fixed().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.fixed().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.fixed().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes.to_vec())
    }

    /// A list, each element read by `read`; it cannot claim more elements than there are bytes left.
    pub(super) fn list<T>(
        &mut self,
        read: impl Fn(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = self.length()?;
        if length > self.0.len() {
            return Err(Malformed);
        }
        (0..length).map(|_| read(self)).collect()
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u32()?).map_err(|_| Malformed)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }
}
