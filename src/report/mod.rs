//! CSVs, figures and the HTML report, made from the store alone.

pub mod rows;
