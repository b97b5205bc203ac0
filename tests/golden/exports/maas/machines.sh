#!/bin/bash
# ./machines.sh PROFILE: add the machines, which MAAS then commissions.
# The login of the BMCs: BMC_USER and BMC_PASSWORD.
set -euo pipefail
profile=${1:?the profile of maas login}
: "${BMC_USER:=}" "${BMC_PASSWORD:=}"
maas "$profile" machines create architecture=amd64/generic \
  hostname=cp1 \
  mac_addresses=52:54:00:00:00:01 \
  power_type=redfish power_parameters_power_address=https://10.0.1.11:8443 power_parameters_node_id=1 power_parameters_power_user="$BMC_USER" power_parameters_power_pass="$BMC_PASSWORD"
maas "$profile" machines create architecture=amd64/generic \
  hostname=w1 \
  mac_addresses=52:54:00:00:00:02 \
  mac_addresses=52:54:00:00:00:03 \
  mac_addresses=52:54:00:00:00:04 \
  power_type=ipmi power_parameters_power_address=10.0.1.12 power_parameters_power_user="$BMC_USER" power_parameters_power_pass="$BMC_PASSWORD"
