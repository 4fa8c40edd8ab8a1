lab "x" {}
module "a" {
  source = "git::https://example.org/x"
}
module "b" {
  source = "./nowhere"
}
locals {
  dir = "./m"
}
module "c" {
  source = local.dir
}
