//! F0: the least that a receiver of signed callbacks has to do, as one loop. No future, no service,
//! no header and no JSON; nobody can do it for less without leaving something out.

use std::{collections::HashMap, hint::black_box, sync::Mutex, time::Duration};

use cpu_time::ThreadTime;
use sha2::block_api::compress256;

use crate::template::Template;

/// Two compressions from kept midstates, one look at the body as text and one at each of its bytes,
/// claim and commit on a map that owns its keys.
#[inline(never)]
pub fn timed_pass(templates: &[Template]) -> Duration {
    let done = Mutex::new(HashMap::new());
    let midstate = [0x6a09_e667_u32; 8];
    let began = ThreadTime::now();
    for template in templates {
        let body = str::from_utf8(black_box(&template.body)).expect("a text");
        let quotes = body.bytes().filter(|byte| *byte == b'"').count();
        let task_id = body.get(40..72).expect("an id");
        black_box((mac(midstate, task_id.as_bytes()), quotes));
        claim_and_commit(&done, task_id);
    }
    began.elapsed()
}

fn mac(midstate: [u32; 8], message: &[u8]) -> [u32; 8] {
    let (mut inner, mut outer) = (midstate, midstate);
    let mut block = [0; 64];
    block[..message.len()].copy_from_slice(message);
    compress256(&mut inner, &[block]);
    for (word, part) in inner.iter().zip(block.chunks_exact_mut(4)) {
        part.copy_from_slice(&word.to_be_bytes());
    }
    compress256(&mut outer, &[block]);
    outer
}

fn claim_and_commit(done: &Mutex<HashMap<String, bool>>, task_id: &str) {
    let mut claimed = done.lock().expect("nobody panics");
    claimed.entry(task_id.to_owned()).or_insert(false);
    drop(claimed);
    if let Some(is_done) = done.lock().expect("nobody panics").get_mut(task_id) {
        *is_done = true;
    }
}
