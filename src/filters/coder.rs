//! The compressors: bytes in, compressed bytes out, with all that was given so far readable after a flush (RFC 1952, RFC 7932,
//! RFC 8878).

use std::io::Write;

use brotli::enc::BrotliEncoderParams;
use flate2::{Compress, Compression, Crc, FlushCompress};
use zstd::stream::raw::CParameter;

use crate::config::directives::compress;
use crate::http::coding::Coding;

/// A compressor at work. What comes out is taken from [`Coder::take`].
pub struct Coder {
    engine: Engine,
    /// Bytes that came in.
    pub total_in: u64,
    /// Bytes that went out, without the frame that gzip puts around them, as Apache counts.
    pub total_out: u64,
    out: Vec<u8>,
}

enum Engine {
    Gzip(Box<Gzip>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

struct Gzip {
    compress: Compress,
    crc: Crc,
}

/// A compressor failed: it has no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// The head of a gzip member without name and time, made on Unix, as Apache writes it.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
/// zstd for HTTP must do with a window of 8 MiB (RFC 9659).
const ZSTD_WINDOW: u32 = 23;

impl Coder {
    /// Begins.
    pub fn new(coding: Coding, settings: &compress::Compress) -> Result<Coder, NoMemory> {
        let mut out = Vec::new();
        let engine = match coding {
            Coding::Gzip => {
                let level = settings.deflate.level.or(6);
                let window = settings.deflate.window.or(15);
                out.extend_from_slice(&GZIP_HEAD);
                Engine::Gzip(Box::new(Gzip {
                    compress: Compress::new_with_window_bits(Compression::new(level), false, window),
                    crc: Crc::new(),
                }))
            }
            Coding::Brotli => {
                let params = BrotliEncoderParams {
                    quality: i32::try_from(settings.brotli.quality.or(5)).unwrap_or(5),
                    lgwin: i32::try_from(settings.brotli.window.or(18)).unwrap_or(18),
                    lgblock: i32::try_from(settings.brotli.block.or(0)).unwrap_or(0),
                    ..BrotliEncoderParams::default()
                };
                Engine::Brotli(Box::new(brotli::CompressorWriter::with_params(
                    Vec::new(),
                    4096,
                    &params,
                )))
            }
            Coding::Zstd => {
                let level = settings.zstd.level.or(3);
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).map_err(|_| NoMemory)?;
                if level > 18 {
                    let window = CParameter::WindowLog(ZSTD_WINDOW);
                    encoder.set_parameter(window).map_err(|_| NoMemory)?;
                }
                Engine::Zstd(Box::new(encoder))
            }
        };
        Ok(Coder {
            engine,
            total_in: 0,
            total_out: 0,
            out,
        })
    }

    /// Takes bytes in; something may come out.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), NoMemory> {
        self.total_in += bytes.len() as u64;
        match &mut self.engine {
            Engine::Gzip(gzip) => {
                gzip.crc.update(bytes);
                gzip.run(bytes, FlushCompress::None, &mut self.out)
            }
            Engine::Brotli(writer) => writer.write_all(bytes).map_err(|_| NoMemory),
            Engine::Zstd(encoder) => encoder.write_all(bytes).map_err(|_| NoMemory),
        }
    }

    /// Has all that came in so far come out.
    pub fn flush(&mut self) -> Result<(), NoMemory> {
        match &mut self.engine {
            Engine::Gzip(gzip) => gzip.run(&[], FlushCompress::Sync, &mut self.out),
            Engine::Brotli(writer) => writer.flush().map_err(|_| NoMemory),
            Engine::Zstd(encoder) => encoder.flush().map_err(|_| NoMemory),
        }
    }

    /// Ends, with all that is left.
    pub fn finish(mut self) -> Result<Finished, NoMemory> {
        self.sort_out();
        match self.engine {
            Engine::Gzip(mut gzip) => {
                gzip.run(&[], FlushCompress::Finish, &mut self.out)?;
                self.total_out = gzip.compress.total_out();
                self.out.extend_from_slice(&gzip.crc.sum().to_le_bytes());
                self.out.extend_from_slice(&gzip.crc.amount().to_le_bytes());
            }
            Engine::Brotli(writer) => {
                let rest = writer.into_inner();
                self.total_out += rest.len() as u64;
                self.out.extend_from_slice(&rest);
            }
            Engine::Zstd(encoder) => {
                let rest = encoder.finish().map_err(|_| NoMemory)?;
                self.total_out += rest.len() as u64;
                self.out.extend_from_slice(&rest);
            }
        }
        Ok(Finished {
            last: self.out,
            total_in: self.total_in,
            total_out: self.total_out,
        })
    }

    /// How much has come out and was not taken.
    pub fn ready(&mut self) -> usize {
        self.sort_out();
        self.out.len()
    }

    /// What has come out.
    pub fn take(&mut self) -> Vec<u8> {
        self.sort_out();
        std::mem::take(&mut self.out)
    }

    /// Moves what came out of the engine to where it is taken from.
    fn sort_out(&mut self) {
        let made = match &mut self.engine {
            Engine::Gzip(_) => return,
            Engine::Brotli(writer) => writer.get_mut(),
            Engine::Zstd(encoder) => encoder.get_mut(),
        };
        self.total_out += made.len() as u64;
        if self.out.is_empty() {
            std::mem::swap(&mut self.out, made);
        } else {
            self.out.append(made);
        }
    }
}

/// What is left at the end.
pub struct Finished {
    /// The last bytes.
    pub last: Vec<u8>,
    /// See [`Coder::total_in`].
    pub total_in: u64,
    /// See [`Coder::total_out`].
    pub total_out: u64,
}

impl Gzip {
    /// Until all is taken in, and out as far as the flush asks for.
    fn run(&mut self, bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> Result<(), NoMemory> {
        let start = self.compress.total_in();
        loop {
            let done = usize::try_from(self.compress.total_in() - start).unwrap_or(usize::MAX);
            let rest = bytes.get(done..).unwrap_or_default();
            out.reserve(4096.max(rest.len() / 4));
            let status = self.compress.compress_vec(rest, out, flush).map_err(|_| NoMemory)?;
            let done = usize::try_from(self.compress.total_in() - start).unwrap_or(usize::MAX);
            let has_room = out.len() < out.capacity();
            if done >= bytes.len() && (has_room || status == flate2::Status::StreamEnd) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
