//! Decides what is built of the tests against foreign peers: asked for, they run and must pass; otherwise each of them is
//! listed as ignored, with the reason.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(interop)");
    println!("cargo::rerun-if-env-changed=CI");
    println!("cargo::rerun-if-env-changed=INTEROP");
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if set("CI", "true") || set("INTEROP", "1") {
        println!("cargo::rustc-cfg=interop");
    }
}
