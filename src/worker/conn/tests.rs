//! What a connection needs while nothing happens on it.

#[test]
fn an_idle_connection_is_small() {
    fn output<A, F>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }
    fn small(what: &str, size: usize, most: usize) {
        println!("{what}: {size} bytes");
        assert!(size <= most, "{what} has {size} bytes");
    }
    small("the connection's future", output(super::run), 640);
    small("its reader", size_of::<super::Reader>(), 128);
}
