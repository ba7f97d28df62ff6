//! What does not depend on the machine: instructions, locked instructions and allocations, as
//! valgrind sees them. It has no SHA instructions, so a compression counts some 3,400.

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    hostile,
    variant::{BY_HAND, IN_TOWER, LAYER, TOWER, Variant},
};

const REQUESTS: usize = 1_024;

/// Of each hostile body, which costs the same each time.
const HOSTILE_REQUESTS: usize = 8;

/// How much more the layer may execute than the handler by hand. It was 0.91 on 2026-11-28.
const BOUND: f64 = 0.93;

#[derive(Clone, Copy, Default)]
pub struct Counts {
    instructions: f64,
    /// Those of them that compute SHA-256.
    hashing: f64,
    locked: f64,
    allocations: f64,
}

/// Prints a row for each variant, and returns them by name, above their bare services.
pub fn print(variants: &[Variant]) -> HashMap<&'static str, Counts> {
    let locks = locks().unwrap_or_else(|| failed("objdump is not installed"));
    let (mut bare, mut all) = (HashMap::new(), HashMap::new());
    println!("| above the bare service | instructions | without SHA-256 | locked | allocations |");
    println!("|---|---|---|---|---|");
    for variant in variants {
        let mut own = counted("--once", variant.name, REQUESTS, &locks);
        match variant.name == variant.bare {
            true => drop(bare.insert(variant.name, own)),
            false => own = own.above(bare.get(variant.bare).copied().unwrap_or_default()),
        }
        println!(
            "| {} | {:.0} | {:.0} | {:.1} | {:.1} |",
            variant.name,
            own.instructions,
            own.without_hashing(),
            own.locked,
            own.allocations,
        );
        all.insert(variant.name, own);
    }
    all
}

/// Prints what each hostile body costs at a voice's limit, in accepted voices in tower, of which
/// SHA-256 is left out.
pub fn print_hostile() {
    let locks = HashSet::new();
    let bare = counted("--once", TOWER, REQUESTS, &locks);
    let accept = counted("--once", IN_TOWER, REQUESTS, &locks).above(bare);
    println!("\n| hostile, 16 KiB | instructions | accepts |\n|---|---|---|");
    for kind in hostile::kinds_of_voice() {
        let own = counted("--once-hostile", kind, HOSTILE_REQUESTS, &locks).above(bare);
        println!(
            "| {kind} | {:.0} | {:.1} |",
            own.instructions,
            own.instructions / accept.without_hashing(),
        );
    }
}

/// Whether the layer executes no more than it may.
pub fn is_within_bound(variants: Vec<Variant>) -> bool {
    let compared = ["axum: bare", BY_HAND, LAYER];
    let is_compared = |variant: &Variant| compared.contains(&variant.name);
    let variants: Vec<_> = variants.into_iter().filter(is_compared).collect();
    let counts = print(&variants);
    let ratio = counts[LAYER].instructions / counts[BY_HAND].instructions;
    println!("\nthe layer at a route / by hand, instructions: {ratio:.3}, bound {BOUND}");
    ratio <= BOUND
}

impl Counts {
    fn above(self, other: Self) -> Self {
        Self {
            instructions: self.instructions - other.instructions,
            hashing: self.hashing - other.hashing,
            locked: self.locked - other.locked,
            allocations: self.allocations - other.allocations,
        }
    }

    fn without_hashing(self) -> f64 {
        self.instructions - self.hashing
    }
}

fn failed(why: &str) -> ! {
    eprintln!("counts: {why}");
    std::process::exit(1);
}

/// Where this program has locked instructions.
fn locks() -> Option<HashSet<u64>> {
    let listing = Command::new("objdump")
        .args(["-d", "--no-show-raw-insn"])
        .arg(env::current_exe().ok()?)
        .output()
        .ok()?;
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    let locks = listing.lines().filter_map(|line| {
        let (address, instruction) = line.trim_start().split_once(':')?;
        let instruction = instruction.trim_start();
        // An exchange with memory is locked without saying so.
        let is_locked = instruction.starts_with("lock ")
            || instruction.starts_with("xchg") && instruction.contains('(');
        is_locked.then(|| u64::from_str_radix(address, 16).ok())?
    });
    Some(locks.collect())
}

/// What a request costs, to a variant and to whoever makes the request.
fn counted(once: &str, name: &str, requests: usize, locks: &HashSet<u64>) -> Counts {
    let file = profile(once, name, requests).unwrap_or_else(|why| failed(&why));
    let profile = fs::read_to_string(&file).expect("a profile");
    fs::remove_file(&file).expect("a profile");
    let all = read(&profile, locks);
    let requests = requests as f64;
    Counts {
        instructions: all.instructions / requests,
        hashing: all.hashing / requests,
        locked: all.locked / requests,
        allocations: all.allocations / requests,
    }
}

fn profile(once: &str, name: &str, requests: usize) -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|why| why.to_string())?;
    let file = env::temp_dir().join(format!("callgrind.{}", std::process::id()));
    let ended = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*timed_pass*"])
        .args(["--dump-instr=yes", "--dump-line=no"])
        .args(["--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args([once, name, &requests.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|why| format!("valgrind does not start: {why}"))?;
    match ended.success() {
        true => Ok(file),
        false => Err(format!("valgrind ended with {ended}")),
    }
}

/// A profile is lines: who spends (`ob=`, `fn=`), what at which address, and who is called
/// (`cfn=`, `calls=`), which is followed by what that cost, and that is counted where it is spent.
fn read(profile: &str, locks: &HashSet<u64>) -> Counts {
    let mut counts = Counts::default();
    let (mut is_ours, mut is_hash, mut is_call, mut callee) = (false, false, false, "");
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            is_ours = env::current_exe().is_ok_and(|exe| exe.as_os_str() == object);
        } else if let Some(name) = line.strip_prefix("fn=") {
            is_hash = name.contains("compress256");
        } else if let Some(name) = line.strip_prefix("cfn=") {
            callee = name;
        } else if let Some(calls) = line.strip_prefix("calls=") {
            is_call = true;
            if ["malloc", "calloc", "realloc", "posix_memalign"].contains(&callee) {
                counts.allocations += first_number(calls);
            }
        } else if let Some(spent) = line.strip_prefix("0x") {
            let (address, cost) = spent.split_once(' ').unwrap_or_default();
            let cost = first_number(cost);
            if !std::mem::take(&mut is_call) {
                counts.instructions += cost;
                counts.hashing += if is_hash { cost } else { 0.0 };
                let address = u64::from_str_radix(address, 16).unwrap_or_default();
                counts.locked += if is_ours && locks.contains(&address) {
                    cost
                } else {
                    0.0
                };
            }
        }
    }
    counts
}

fn first_number(line: &str) -> f64 {
    let word = line.split_ascii_whitespace().next();
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}
