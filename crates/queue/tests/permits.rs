//! No permit, no row: each refusal of the compiler beside a twin that differs only in the permit and
//! compiles, so that no refusal can come from somewhere else.

#[test]
fn the_compiler_demands_the_right_permit() {
    let cases = trybuild::TestCases::new();
    let mut refused = 0;
    for entry in fs_err::read_dir("tests/permit").expect("the cases") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") if name.ends_with("_twin") => cases.pass(path),
            Some("rs") => {
                refused += 1;
                cases.compile_fail(path);
            }
            _ => {}
        }
    }
    assert_eq!(refused, 6);
}
