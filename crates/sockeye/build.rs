//! Names the condition under which the engine is compiled, so that the code can say `cfg(engine)`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(engine)");
    let is = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|known| known == value);
    let has_server = std::env::var_os("CARGO_FEATURE_SERVER").is_some();
    // The engine works with descriptors, and keys of 64 bits go through the system's event queues.
    if has_server && is("CARGO_CFG_TARGET_FAMILY", "unix") && is("CARGO_CFG_TARGET_POINTER_WIDTH", "64") {
        println!("cargo::rustc-cfg=engine");
    }
}
