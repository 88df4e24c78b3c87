//! Makes a WebAssembly module smaller, and do the same: no custom sections, numbers as short as they can be (the
//! linker pads them), and functions beside those that are like them, where compression finds what they share.

use std::convert::Infallible;

use anyhow::{Context, Result, anyhow};
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, FunctionBody, FunctionSectionReader, Parser, Payload, TypeRef,
};

use super::order;
use super::wire::instructions;

/// The module, packed.
///
/// # Errors
/// When it is no WebAssembly module.
pub fn pack(module: &[u8]) -> Result<Vec<u8>> {
    let mut imported = 0;
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(instructions(body.as_bytes())),
            _ => {}
        }
    }
    let order = order::alike(&bodies);
    let mut places = vec![0; order.len()];
    for (place, function) in order.iter().enumerate() {
        *places.get_mut(*function).context("no such function")? = u32::try_from(place)?;
    }
    let mut packed = Module::new();
    Packer { imported, order, places }
        .parse_core_module(&mut packed, Parser::new(0), module)
        .map_err(|error| anyhow!("{error}"))?;
    Ok(packed.finish())
}

/// Writes a module with its functions in another order.
struct Packer {
    /// How many functions are imported: theirs are the first numbers.
    imported: u32,
    /// The functions of the module, in their new order.
    order: Vec<usize>,
    /// Where each of them is in that order.
    places: Vec<u32>,
}

impl Reencode for Packer {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error> {
        let own = function.checked_sub(self.imported).and_then(|own| self.places.get(own as usize));
        Ok(own.map_or(function, |place| self.imported + place))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        let types = section.into_iter().collect::<Result<Vec<u32>, _>>()?;
        for function in &self.order {
            functions.function(types[*function]);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        let bodies = section.into_iter().collect::<Result<Vec<FunctionBody<'_>>, _>>()?;
        for function in self.order.clone() {
            self.parse_function_body(code, bodies[function].clone())?;
        }
        Ok(())
    }

    fn parse_custom_section(&mut self, _: &mut Module, _: CustomSectionReader<'_>) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        CodeSection, CustomSection, ExportKind, ExportSection, Function, FunctionSection, Module, TypeSection,
    };
    use wasmparser::{Parser, Payload};

    use super::pack;

    #[test]
    fn functions_keep_their_exports_and_custom_sections_go() {
        let mut types = TypeSection::new();
        types.ty().function([], [wasm_encoder::ValType::I32]);
        let mut functions = FunctionSection::new();
        let mut exports = ExportSection::new();
        let mut code = CodeSection::new();
        for value in 0..64_u32 {
            functions.function(0);
            exports.export(&value.to_string(), ExportKind::Func, value);
            let mut function = Function::new([]);
            // Functions of eight lengths, in turn.
            for _ in 0..8 {
                function.instructions().i32_const(7);
                for _ in 0..value % 8 {
                    function.instructions().nop();
                }
                function.instructions().drop();
            }
            function.instructions().i32_const(i32::try_from(value).expect("small")).end();
            code.function(&function);
        }
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&exports).section(&code);
        module.section(&CustomSection { name: "name".into(), data: b"text".as_slice().into() });
        let packed = pack(&module.finish()).expect("a module");

        let (mut values, mut exported) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(&packed) {
            match payload.expect("a section") {
                Payload::CodeSectionEntry(body) => values.push(body.as_bytes().to_vec()),
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.expect("an export");
                        exported.push((export.name.parse::<u8>().expect("its value"), export.index as usize));
                    }
                }
                Payload::CustomSection(_) => panic!("a custom section"),
                _ => {}
            }
        }
        assert_eq!(exported.len(), 64);
        for (value, index) in exported {
            let body = &values[index];
            assert_eq!(body[body.len() - 2], value, "function {index}");
        }
    }
}
