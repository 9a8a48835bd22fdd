fn main() { let d = burn::tensor::Device::flex(); println!("{:?}", d); }
