lab "x" {}

host {
  ssh = "-oProxyCommand=true"
}
