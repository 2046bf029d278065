//! What every driver does: each test runs with all of them.

mod accepting;
mod calls;
mod connecting;
mod ending;
mod failing;
#[cfg(target_os = "linux")]
mod holding;
#[cfg(target_os = "linux")]
mod losing;
mod pausing;
mod scarcity;
mod traffic;
mod waking;
mod world;

use super::faults::Faults;
use super::{Driver, Readiness};

#[cfg(target_os = "linux")]
use super::Uring;

/// A driver that tests can make.
trait Tested: Driver + 'static {
    /// Whether the system allows it.
    fn is_available() -> bool {
        true
    }

    fn fresh() -> Self;

    /// One that has little of everything.
    fn scarce() -> Self;

    fn faults(&mut self) -> &mut Faults;

    /// Lets a socket be as if the system had said that it takes more.
    fn pretend_writable(&mut self, socket: &mut Self::Socket);
}

impl Tested for Readiness {
    fn fresh() -> Self {
        Self::new().unwrap()
    }

    fn scarce() -> Self {
        Self::fresh()
    }

    fn faults(&mut self) -> &mut Faults {
        self.faults()
    }

    fn pretend_writable(&mut self, socket: &mut Self::Socket) {
        socket.pretend_writable();
    }
}

#[cfg(target_os = "linux")]
impl Tested for Uring {
    fn is_available() -> bool {
        let available = super::DriverKind::Uring.resolve();
        if let Err(reason) = &available {
            eprintln!("not tested: {reason}");
        }
        available.is_ok()
    }

    fn fresh() -> Self {
        Self::new().unwrap()
    }

    fn scarce() -> Self {
        Self::scarce().unwrap()
    }

    fn faults(&mut self) -> &mut Faults {
        self.faults()
    }

    /// It tries again by itself.
    fn pretend_writable(&mut self, _: &mut Self::Socket) {}
}

/// Runs functions that are generic over the driver as tests of each driver.
macro_rules! with_each_driver {
    ($($name:ident),+ $(,)?) => {
        mod readiness {
            $(#[test] fn $name() { super::$name::<crate::driver::Readiness>(); })+
        }

        #[cfg(target_os = "linux")]
        mod uring {
            use crate::driver::tests::Tested as _;

            $(#[test] fn $name() {
                if crate::driver::Uring::is_available() {
                    super::$name::<crate::driver::Uring>();
                }
            })+
        }
    };
}
use with_each_driver;
