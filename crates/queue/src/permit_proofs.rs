//! Code that must not compile. Each proof is one template with a type left open. The compiler refuses it with the
//! first type and accepts it with the second, so only the type can be the cause of the refusal. `cargo test` runs
//! both as documentation tests; a nightly compiler compares the error code, too.

macro_rules! proofs {
    ($($name:ident: $code:literal, $before:literal [$refused:literal, $accepted:literal] $after:literal;)+) => {$(
        #[doc = concat!("```compile_fail,", $code, "\n", $before, $refused, $after, "\n```\n")]
        #[doc = concat!("```no_run\n", $before, $accepted, $after, "\n```")]
        pub struct $name;
    )+};
}

proofs! {
    WriterNeedsACapturePermit: "E0308",
        "fn add(permit: &gate::" ["CurePermit", "CapturePermit"] ") -> Result<queue::Writer, queue::QueueError> {
            queue::Writer::open(permit, queue::Capacity(1))
        }";
    OutboxNeedsAnEgressPermit: "E0308",
        "fn send(permit: &gate::" ["CapturePermit", "EgressPermit"] ") -> Result<queue::Outbox, queue::QueueError> {
            queue::Outbox::open(permit)
        }";
    CureNeedsACurePermit: "E0308",
        "fn cure(permit: &gate::" ["EgressPermit", "CurePermit"] ") -> Result<queue::Cure, queue::QueueError> {
            queue::Cure::open(permit)
        }";
    CureAddsNoFact: "E0599",
        "fn add(store: &mut queue::" ["Cure", "Writer"] ", capture: &queue::Capture) {
            let _ = store.prepare(capture);
        }";
    CapturePermitIsNotCloned: "E0599",
        "fn twice(permit: " ["gate::CapturePermit", "gate::ObservedQueueId"] ") -> impl Sized {
            (permit.clone(), permit)
        }";
    EgressPermitIsNotCloned: "E0599",
        "fn twice(permit: " ["gate::EgressPermit", "gate::ObservedQueueId"] ") -> impl Sized {
            (permit.clone(), permit)
        }";
    CapturePermitIsMadeByTheGate: "E0451",
        "type Permit = " ["gate::CapturePermit", "contract::Fault"] ";
        fn forge(given: Permit) -> Permit {
            Permit { ..given }
        }";
    EgressPermitIsMadeByTheGate: "E0451",
        "type Permit = " ["gate::EgressPermit", "contract::Fault"] ";
        fn forge(given: Permit) -> Permit {
            Permit { ..given }
        }";
    CurePermitIsMadeByTheGate: "E0451",
        "type Permit = " ["gate::CurePermit", "contract::Fault"] ";
        fn forge(given: Permit) -> Permit {
            Permit { ..given }
        }";
}
