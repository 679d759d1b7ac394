# What the runner is told in a line of the log. `say notice TEXT`, `say error TEXT`: however TEXT is made, it stays one
# command.

say() {
  local text=${2//'%'/%25}
  text=${text//$'\r'/%0D}
  echo "::$1 title=archcheck::${text//$'\n'/%0A}"
}
